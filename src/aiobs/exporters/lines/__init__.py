"""Files of lines that are whole, whatever ends the process or fills the disk."""
