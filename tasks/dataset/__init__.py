"""Lists the files of a dataset, scans each once, and splits the images.

`stage` calls the parts in this order: `listing` lists the files with their classes, `scan` (on `quality`) reads and
decodes them, `labels` applies corrections, `splits` (on `groups`) assigns train, val and test. `source` checks a
dataset before any stage runs.
"""
