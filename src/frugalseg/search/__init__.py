"""Budget in, architecture out."""
