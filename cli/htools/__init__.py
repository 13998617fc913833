"""The commands of htools (hbal, hspace, hail, hcheck, hroller, hinfo) over ``clusterd.placement``.

They take the options of the originals and print what those print, so that scripts go on working.
``source`` is where the cluster comes from; each tool is one module with ``main``.
"""
