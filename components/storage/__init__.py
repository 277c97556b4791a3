"""The backup buckets of one region and what hardens, copies and logs them; and the class of the databases' volumes."""
