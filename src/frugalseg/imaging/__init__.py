"""Pictures and masks: the laboratory and the board read, resize and draw them alike."""
