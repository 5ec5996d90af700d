"""A DVC workspace, as the scheduler needs it."""
