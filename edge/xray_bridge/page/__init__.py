"""The officer's station: serves the judgement contract and the page that uses it. Decides nothing: it shows
what the station published, and puts what an officer said into the station's inbox."""
