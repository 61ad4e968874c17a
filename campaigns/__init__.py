"""What a campaign means: what is allowed, counted or owed."""
