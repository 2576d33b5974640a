"""Lists the files of a dataset with their classes and given splits, by folders or by a table; decodes nothing.

`folder` judges the `layout` of a `tree` of files, and `table` reads the lines of a `table_file`, whose further columns
are `attributes` of the images; `names` tells what the names of files and folders mean, and `suggestions` which other
folder may be the dataset.
"""
