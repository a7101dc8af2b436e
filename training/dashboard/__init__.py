"""What staff see first: is the loop turning, and what needs me? And the work in the background."""
