"""The findings of the article, each as a study that can be repeated."""
