"""Lays out the files of the package as the project says, since there is no SDK to pack them:

    lay_out.py PROJECT FOLDER-OF-NATIVE-LIBRARIES EMPTY-FOLDER
"""

import shutil
import sys
import xml.etree.ElementTree
from pathlib import Path

project, native, package = (Path(it) for it in sys.argv[1:])
for item in xml.etree.ElementTree.parse(project).iter("None"):
    if item.get("Pack") != "true":
        continue
    source = project.parent / item.get("Include").replace("$(MdeNativeFolder)", str(native))
    for place in item.get("PackagePath").split(";"):
        # Without the slash it would be the name of the file.
        assert place.endswith("/"), place
        target = package / place.lstrip("/") / source.name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)
