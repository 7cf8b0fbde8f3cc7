"""A record, shown: table, page, comparison of two records, trend of many."""
