"""Getting the data: what each task and training set needs, what is there, and files from the hub's rows."""
