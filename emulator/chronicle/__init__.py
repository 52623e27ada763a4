"""What is made of a timeline: a file, the lives it tells of, what changed between two runs, a trace to look at."""
