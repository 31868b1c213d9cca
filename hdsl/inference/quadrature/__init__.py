"""The posterior of models with group effects and other than Gaussian outcomes: effects integrated out by quadrature."""
