"""The verbs, one file each; a stage never imports a stage."""
