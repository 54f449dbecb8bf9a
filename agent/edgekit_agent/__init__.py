"""The agent: picks the best variant for its own hardware, proves it, serves it, and keeps serving."""
