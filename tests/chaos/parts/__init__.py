"""What the chaos run consists of; each process is one of these modules."""
