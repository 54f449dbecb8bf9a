"""Which operators the runtimes installed here run by themselves, by something else, or not at all: found by running them."""
