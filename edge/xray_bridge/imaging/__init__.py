"""What a dual-energy picture shows: materials, lengths, masses, likeness. Pure: no file, clock or record."""
