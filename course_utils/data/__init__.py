"""One picture's way: find the files (`sources`), read them (`decode`), hold some out (`split`), hold them in memory
(`pictures`), hand them to a network in batches (`loader`). `painted` makes data sets whose evidence is known.

How a folder is laid out: its entries (`listing`), names of parts (`parts`), kinds of layout in their order (`layouts`,
with `tables` and `lists`), and what becomes of the rows they give (`rows`)."""
