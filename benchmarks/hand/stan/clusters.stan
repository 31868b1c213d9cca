data {
  int<lower=0> n, n_district, n_school;
  array[n_school] int<lower=1, upper=n_district> district;
  array[n] int<lower=1, upper=n_school> school;
  vector[n_school] curriculum;
  vector[n] before;
  array[n] int<lower=0, upper=1> passed;
}
transformed data {
  matrix[n, 1] X = to_matrix(before, n, 1);
}
parameters {
  real mu, tau, beta;
  real<lower=0> sd_district, sd_school;
  vector[n_district] z_district;
  vector[n_school] z_school;
}
model {
  vector[n_district] a_district = sd_district * z_district;
  vector[n_school] a_school = mu + a_district[district] + tau * curriculum + sd_school * z_school;
  mu ~ normal(0, 2);
  tau ~ normal(0, 2);
  beta ~ normal(0, 2);
  sd_district ~ std_normal();
  sd_school ~ std_normal();
  z_district ~ std_normal();
  z_school ~ std_normal();
  passed ~ bernoulli_logit_glm(X, a_school[school], [beta]');
}
