"""One picture's way: find the files (`sources`), read them (`decode`), hold some out (`split`), hold them in memory
(`pictures`), hand them to a network in batches (`loader`). `painted` makes data sets whose evidence is known."""
