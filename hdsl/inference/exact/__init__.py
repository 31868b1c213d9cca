"""The posterior of linear Gaussian models with the effects integrated out, and drawn back exactly."""
