"""What runs in the child process that has torch: a model is brought to life there, exported, and asked for its answers."""
