"""edgekit makes a trained model cheap enough to run where it is needed, puts it there safely, and proves that it stays good."""
