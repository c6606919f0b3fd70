"""Pictures and masks: lists, files, colours, and what training makes of them."""
