"""Who decides on a scale-out, by `solution_name`: pure functions of a situation."""
