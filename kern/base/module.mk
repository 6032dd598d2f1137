base_deps :=
