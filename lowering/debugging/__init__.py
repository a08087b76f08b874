"""What is written when a pass fails: the text that shows it, made small, and the command that runs it again."""
