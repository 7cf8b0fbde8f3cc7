"""A target's process: started, bound to its cores, asked over a pipe, ended."""
