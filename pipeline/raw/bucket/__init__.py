"""Raw data in tar files of a bucket, which are read there, member by member."""
