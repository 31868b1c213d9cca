data {
  int<lower=0> n, n_school, n_child;
  array[n_child] int<lower=1, upper=n_school> school;
  array[n] int<lower=1, upper=n_child> child;
  vector[n_child] programme;
  vector[n] year, score;
}
parameters {
  real mu, tau, beta;
  real<lower=0> sd_level_school, sd_growth_school, sd_level_child, sd_growth_child, sigma;
  cholesky_factor_corr[2] L_school, L_child;
  matrix[2, n_school] z_school;
  matrix[2, n_child] z_child;
}
model {
  matrix[n_school, 2] of_school = (diag_pre_multiply([sd_level_school, sd_growth_school]', L_school) * z_school)';
  matrix[n_child, 2] of_child = (diag_pre_multiply([sd_level_child, sd_growth_child]', L_child) * z_child)';
  vector[n_child] level = mu + tau * programme + of_school[school, 1] + of_child[ : , 1];
  vector[n_child] slope = beta + of_school[school, 2] + of_child[ : , 2];
  mu ~ normal(50, 20);
  tau ~ normal(0, 10);
  beta ~ normal(0, 10);
  sd_level_school ~ normal(0, 10);
  sd_growth_school ~ normal(0, 3);
  sd_level_child ~ normal(0, 10);
  sd_growth_child ~ normal(0, 3);
  sigma ~ normal(0, 10);
  L_school ~ lkj_corr_cholesky(2);
  L_child ~ lkj_corr_cholesky(2);
  to_vector(z_school) ~ std_normal();
  to_vector(z_child) ~ std_normal();
  score ~ normal(level[child] + slope[child] .* year, sigma);
}
generated quantities {
  real rho_school = L_school[2, 1], rho_child = L_child[2, 1];
}
