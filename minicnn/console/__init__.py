"""Tables, colours and lines for people who read a terminal."""
