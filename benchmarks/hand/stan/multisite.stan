data {
  int<lower=0> n, n_site;
  array[n] int<lower=1, upper=n_site> site;
  vector[n] tutor, pretest, score;
}
parameters {
  real mu, tau, beta;
  real<lower=0> sd_alpha, sd_tau, sigma;
  cholesky_factor_corr[2] L;
  matrix[2, n_site] z;
}
model {
  matrix[n_site, 2] effects = (diag_pre_multiply([sd_alpha, sd_tau]', L) * z)';
  mu ~ normal(50, 10);
  tau ~ normal(0, 5);
  beta ~ normal(0, 2);
  sd_alpha ~ normal(0, 5);
  sd_tau ~ normal(0, 5);
  sigma ~ normal(0, 10);
  L ~ lkj_corr_cholesky(2);
  to_vector(z) ~ std_normal();
  score ~ normal(mu + effects[site, 1] + (tau + effects[site, 2]) .* tutor + beta * pretest, sigma);
}
generated quantities {
  real rho = L[2, 1];
}
