"""Turn labelled tables into a judged, registered model."""
