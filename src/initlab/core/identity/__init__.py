"""What decides a result beside the question: the user's code, told apart from its comments and its layout."""
