"""The IP stack behind ``#I``, inside one machine. Source: ip/."""
