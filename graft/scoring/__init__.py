"""The command `graft score`: the new images of a folder or a bucket, results as Parquet that grow run by run."""
