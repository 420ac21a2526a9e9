"""The examples of the OpenAPI document, which tell one story: `blog` comes to the host `web-1`.

It is told in the domain's own objects, of which answers are made by the views that make all others:
an example cannot differ from an answer. What agents say is written down here, as docs/protocol.md has it.
"""
