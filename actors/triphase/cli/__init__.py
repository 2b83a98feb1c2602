"""The command line: a front of the runtime, and imported by nothing but itself."""
