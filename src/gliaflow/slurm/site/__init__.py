"""What is asked of a cluster from outside: its commands, its jobs, what a site wants."""
