"""Endings of the names of files that hold a dataset or list one, in lower case."""

ARCHIVES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz")
TABLES = (".csv", ".tsv", ".parquet")
