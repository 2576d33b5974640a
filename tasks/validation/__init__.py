"""Checks the manifest with Great Expectations and sets aside the files that cannot be used.

`quarantine` judges each image, `frames` counts, and `checks` returns findings. `suite` and `checkpoint` turn these into
expectations; `page` and `report` show them to people; `changes` compares the images with those of the last run.
"""
