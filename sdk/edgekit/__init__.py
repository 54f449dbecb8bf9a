"""edgekit makes a trained model cheap enough to run where it is needed, puts it there safely, and proves that it stays good."""

from edgekit.privacy import silence_telemetry

# Here, since every module of edgekit is loaded after this one, and every library that would send is loaded after those.
silence_telemetry()
