"""The atlas: a release in the browser, on a map and in embedding space, from plain static files.

content     what one page shows: files of the release, and those that are made for it
published   the same of a version on the Hub
policy      what the page may do, and the origins that its data come from
site        the page's files with a release's particulars; a static site in a folder
server      the same on 127.0.0.1
space       the same as a static Space on the Hub
picture     the page as a browser draws it, for the card
page/       the page as browsers get it, built from web/
"""
