module p9emu.guest

go 1.27
