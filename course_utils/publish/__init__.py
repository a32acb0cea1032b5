"A classifier that other people use: an app, a folder to be hosted, a page without a server."
