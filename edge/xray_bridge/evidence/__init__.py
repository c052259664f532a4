"""What is kept of every parcel and can be proved for years: DICOS files, manifests, the folder they lie in,
the library of reference pictures. No device, no belt and no decision: it is told, keeps, and says what it
kept."""
