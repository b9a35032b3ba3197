"""What becomes of prompts: their analysis, after so many calls of a function, or over many session files."""
