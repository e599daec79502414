"""A release becomes an immutable version on the Hub, and is read from there.

target      what a user typed: a folder, or ``OWNER/NAME[@VERSION]``
open        what a repository holds, and the release that a target names
published   findings over a published version, as `release.check` over a folder
push        a release folder -> one commit -> its tag; `_commit` is what makes the commit
plan        which version a push makes, and why
edits       what people wrote into a repository's card and manifest since its last version
tree        the files of that version, and how they differ from those of the repository
repo        the Hub client: every request
retry       what the Hub refuses with, as `HubError`, and which of it is asked about again
"""
