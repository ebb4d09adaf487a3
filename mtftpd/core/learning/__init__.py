"""What nodes have shown, and what is concluded: from which multicast is kept, and which work-arounds they need."""
