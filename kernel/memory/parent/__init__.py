"""The page cache of the commit's parent, beside the commit's."""
